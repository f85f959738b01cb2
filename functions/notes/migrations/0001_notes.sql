-- Notes: users as identity tells of them, their notes, what these were before, and with whom they are shared.
--
-- Times are milliseconds since the Unix epoch. Every table has the tenant in its primary key and stands behind the wall
-- between tenants. Row-level security lets no index be used for an operator that could leak (LIKE, @>, &&), so there is
-- none for text or tags: these filters look through the rows that the caller may see, which an index finds.

GRANT USAGE ON SCHEMA notes TO tenfold_app;

-- What identity told last of a user. It outlives the user: an older message that comes late brings nobody back.
CREATE TABLE user_states (
    tenant  text    COLLATE "C" NOT NULL DEFAULT tenfold.current_tenant(),
    user_id text    COLLATE "C" NOT NULL,
    -- Microseconds since the Unix epoch: when it happened.
    told_at bigint  NOT NULL,
    removed boolean NOT NULL,
    CONSTRAINT user_states_pkey PRIMARY KEY (tenant, user_id)
);

-- Who owns notes: users, and the tenant itself, whose id is its own, for the notes of its programs.
CREATE TABLE users (
    tenant text COLLATE "C" NOT NULL DEFAULT tenfold.current_tenant(),
    id     text COLLATE "C" NOT NULL,
    email  text,
    name   text,
    CONSTRAINT users_pkey PRIMARY KEY (tenant, id)
);

CREATE TABLE notes (
    tenant     text    COLLATE "C" NOT NULL DEFAULT tenfold.current_tenant(),
    id         text    COLLATE "C" NOT NULL,
    owner_id   text    COLLATE "C" NOT NULL,
    title      text    NOT NULL,
    content    text    NOT NULL CHECK (octet_length(content) <= 262144),
    format     text    NOT NULL CHECK (format IN ('markdown', 'text')),
    tags       text[]  NOT NULL,
    pinned     boolean NOT NULL,
    archived   boolean NOT NULL,
    due_at     bigint,
    done_at    bigint,
    version    bigint  NOT NULL CHECK (version > 0),
    created_at bigint  NOT NULL,
    created_by text    NOT NULL,
    updated_at bigint  NOT NULL,
    updated_by text    NOT NULL,
    deleted_at bigint,
    -- Title, content and tags as they are searched in, and the title as it is sorted by.
    search     text    NOT NULL,
    title_key  text    COLLATE "C" NOT NULL,
    CONSTRAINT notes_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT notes_owner FOREIGN KEY (tenant, owner_id) REFERENCES users ON DELETE CASCADE
);
CREATE INDEX notes_by_creation ON notes (tenant, owner_id, created_at, id);
CREATE INDEX notes_by_update ON notes (tenant, owner_id, updated_at, id);
CREATE INDEX notes_deleted ON notes (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE note_revisions (
    tenant     text   COLLATE "C" NOT NULL DEFAULT tenfold.current_tenant(),
    note_id    text   COLLATE "C" NOT NULL,
    -- The note's version that the change made.
    version    bigint NOT NULL,
    title      text   NOT NULL,
    content    text   NOT NULL,
    format     text   NOT NULL,
    tags       text[] NOT NULL,
    created_at bigint NOT NULL,
    created_by text   NOT NULL,
    CONSTRAINT note_revisions_pkey PRIMARY KEY (tenant, note_id, version),
    CONSTRAINT note_revisions_note FOREIGN KEY (tenant, note_id) REFERENCES notes ON DELETE CASCADE
);

CREATE TABLE note_shares (
    tenant     text   COLLATE "C" NOT NULL DEFAULT tenfold.current_tenant(),
    note_id    text   COLLATE "C" NOT NULL,
    user_id    text   COLLATE "C" NOT NULL,
    access     text   NOT NULL CHECK (access IN ('read', 'write')),
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    CONSTRAINT note_shares_pkey PRIMARY KEY (tenant, note_id, user_id),
    CONSTRAINT note_shares_note FOREIGN KEY (tenant, note_id) REFERENCES notes ON DELETE CASCADE,
    CONSTRAINT note_shares_user FOREIGN KEY (tenant, user_id) REFERENCES users ON DELETE CASCADE
);
CREATE INDEX note_shares_by_user ON note_shares (tenant, user_id);

-- See shared::postgres::idempotency. An answer may have a note in it, so it goes with its actor.
CREATE TABLE idempotency_keys (
    tenant      text   COLLATE "C" NOT NULL DEFAULT tenfold.current_tenant(),
    actor       text   COLLATE "C" NOT NULL,
    route       text   COLLATE "C" NOT NULL,
    key         text   COLLATE "C" NOT NULL,
    fingerprint text   NOT NULL,
    -- Seconds since the Unix epoch.
    expires_at  bigint NOT NULL,
    answer      text,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant, actor, route, key),
    CONSTRAINT idempotency_keys_actor FOREIGN KEY (tenant, actor) REFERENCES users ON DELETE CASCADE
);
CREATE INDEX idempotency_keys_expired ON idempotency_keys (expires_at);

-- Whether this transaction is the purge, which sees what is to be purged, of every tenant, and nothing else.
CREATE FUNCTION purging() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(current_setting('tenfold.purge', true) = 'on', false);
REVOKE ALL ON FUNCTION purging() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purging() TO tenfold_app;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['user_states', 'users', 'notes', 'note_revisions', 'note_shares', 'idempotency_keys']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (tenant = tenfold.current_tenant())', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO tenfold_app', name);
    END LOOP;
END
$$;

CREATE POLICY purge_seen ON notes FOR SELECT USING (purging() AND deleted_at IS NOT NULL);
CREATE POLICY purge_deleted ON notes FOR DELETE USING (purging() AND deleted_at IS NOT NULL);
CREATE POLICY purge_seen ON user_states FOR SELECT USING (purging() AND removed);
CREATE POLICY purge_deleted ON user_states FOR DELETE USING (purging() AND removed);
CREATE POLICY purge_seen ON idempotency_keys FOR SELECT USING (purging());
CREATE POLICY purge_deleted ON idempotency_keys FOR DELETE USING (purging());
