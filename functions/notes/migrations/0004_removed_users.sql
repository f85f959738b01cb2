-- Who was removed is forgotten after some time, of all tenants at once.
CREATE INDEX user_states_removed ON user_states (told_at) WHERE removed;
