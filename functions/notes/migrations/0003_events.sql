-- What is to be told of notes: written in the transaction of the change, handed over to the relay outside of the database
-- after it, and removed then.
CREATE TABLE outbox (
    tenant     text   COLLATE "C" NOT NULL DEFAULT tenfold.current_tenant(),
    -- The id of its first event.
    id         text   COLLATE "C" NOT NULL,
    -- A JSON array of CloudEvents: what one transaction tells.
    events     text   NOT NULL,
    -- A JSON array of the reminders that are to come when they are due.
    reminders  text   NOT NULL,
    written_at bigint NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (tenant, id)
);
CREATE INDEX outbox_waiting ON outbox (written_at);
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON outbox USING (tenant = tenfold.current_tenant());
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO tenfold_app;

-- Whether this transaction hands over what is to be told, of every tenant, and sees nothing else of theirs.
CREATE FUNCTION handing_over() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(current_setting('tenfold.hand_over', true) = 'on', false);
REVOKE ALL ON FUNCTION handing_over() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION handing_over() TO tenfold_app;

CREATE POLICY handed_over_seen ON outbox FOR SELECT USING (handing_over());
CREATE POLICY handed_over_deleted ON outbox FOR DELETE USING (handing_over());
-- The purge tells each tenant of its notes that are gone.
CREATE POLICY purge_told ON outbox FOR INSERT WITH CHECK (purging());

-- The due time of which was told that it had come.
ALTER TABLE notes ADD COLUMN reminded_for bigint;
