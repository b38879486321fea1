-- The answers that are kept for batches that may come again: one for the whole batch, which has no sensor. A key is in this table
-- or in `answers`.

CREATE TABLE batch_answers (
    -- As in `answers`.
    key         TEXT    NOT NULL PRIMARY KEY,
    fingerprint BLOB    NOT NULL,
    made_at_ms  INTEGER NOT NULL,
    -- What became of each operation: the body of the answer, byte for byte.
    outcomes    TEXT    NOT NULL
) STRICT;

-- The oldest are forgotten first.
CREATE INDEX batch_answers_by_age ON batch_answers (made_at_ms);
