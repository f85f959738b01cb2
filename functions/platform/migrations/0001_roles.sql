-- The role of the application and the tenant of a transaction.
--
-- Runs as a superuser or as a user that may create roles and schemas (an RDS master user), and on a server where
-- another database has made the role already.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tenfold_app') THEN
        BEGIN
            CREATE ROLE tenfold_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
        EXCEPTION
            -- Roles belong to the server: the migration of another database was faster.
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;

    -- Row-level security does not hold for such a role.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'tenfold_app' AND (rolsuper OR rolbypassrls)) THEN
        RAISE EXCEPTION 'the role tenfold_app can bypass row-level security';
    END IF;

    -- Each transaction takes the role (SET LOCAL ROLE), which its user must be allowed to. Since version 16 the right
    -- to grant a role no longer contains the right to take it.
    IF NOT pg_has_role(
        current_user,
        'tenfold_app',
        CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END
    ) THEN
        EXECUTE format('GRANT tenfold_app TO %I', current_user);
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS tenfold;
REVOKE ALL ON SCHEMA tenfold FROM PUBLIC;
GRANT USAGE ON SCHEMA tenfold TO tenfold_app;

-- The tenant of the transaction, for policies; NULL, which equals no tenant, when none was set. (A setting that was
-- local to an earlier transaction is left behind as an empty text.)
CREATE OR REPLACE FUNCTION tenfold.current_tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('tenfold.tenant', true), '');
REVOKE ALL ON FUNCTION tenfold.current_tenant() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenfold.current_tenant() TO tenfold_app;
