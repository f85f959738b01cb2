-- What a tenant has chosen for its notes. A tenant without a row has chosen nothing.
CREATE TABLE settings (
    tenant           text    COLLATE "C" NOT NULL DEFAULT tenfold.current_tenant(),
    require_if_match boolean NOT NULL,
    -- 0 before anything is chosen, one more with each change.
    version          bigint  NOT NULL CHECK (version >= 0),
    updated_at       bigint,
    updated_by       text,
    CONSTRAINT settings_pkey PRIMARY KEY (tenant)
);
ALTER TABLE settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE settings FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON settings USING (tenant = tenfold.current_tenant());
GRANT SELECT, INSERT, UPDATE, DELETE ON settings TO tenfold_app;
