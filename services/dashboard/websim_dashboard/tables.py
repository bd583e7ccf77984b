"""The tables of the history, and what deletes from them, in SQL."""

VERSION = 1
"""Of the tables; a file of another version is refused."""

TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY, name TEXT NOT NULL, last INTEGER NOT NULL, heard_unix_s REAL NOT NULL,
    status TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS points (
    run TEXT, branch INTEGER, update_ INTEGER, number INTEGER NOT NULL,
    env_steps INTEGER NOT NULL, time_unix_s REAL NOT NULL, "values" TEXT NOT NULL,
    PRIMARY KEY (run, branch, update_)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS points_by_number ON points (run, number);
CREATE TABLE IF NOT EXISTS events (
    run TEXT, number INTEGER, event TEXT NOT NULL, PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trials (
    run TEXT, adaptation INTEGER, contender TEXT, trial_env_steps INTEGER, number INTEGER NOT NULL,
    point TEXT NOT NULL, PRIMARY KEY (run, adaptation, contender, trial_env_steps)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS adaptations (
    run TEXT, number INTEGER, "row" TEXT NOT NULL, PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    run TEXT, name TEXT, answer TEXT NOT NULL, PRIMARY KEY (run, name)
) WITHOUT ROWID;
"""

THIN_OUT = """
DELETE FROM points WHERE run = ? AND (branch, update_) IN (
    SELECT branch, update_ FROM (
        SELECT branch, update_, row_number() OVER (ORDER BY branch, update_) AS place
        FROM points WHERE run = ? ORDER BY number LIMIT ?
    ) WHERE place % 2 = 0
)
"""
"""Delete every other one of the oldest points."""

POINTS = """
SELECT p.branch, p.number, p.update_, p.env_steps, p.time_unix_s, p."values"
FROM (
    SELECT branch, update_, count(*) OVER (PARTITION BY branch) AS total,
        row_number() OVER (PARTITION BY branch ORDER BY update_ DESC) AS place
    FROM points WHERE run = :run AND number > :after
) AS k JOIN points AS p ON p.run = :run AND p.branch = k.branch AND p.update_ = k.update_
WHERE (k.place - 1) % ((k.total + :most - 1) / :most) = 0
ORDER BY p.branch, p.update_
"""
"""Points beyond a number, of a branch at most so many: evenly spread ones and the newest."""

TAKE_BACK = "DELETE FROM points WHERE run = ? AND branch = ? AND update_ >= ? AND number < ?"
"""Delete what came before a point and is not before it: the run went back behind that."""

TAKE_BACK_TRIAL = """
DELETE FROM trials WHERE run = ? AND adaptation = ? AND contender = ? AND trial_env_steps >= ?
"""
"""Delete what a trial that is held anew tells once more."""

FORGET_TRIALS = "DELETE FROM trials WHERE run = ? AND adaptation <= ?"
"""Delete curves of old trials; what came of them stays in the log."""

EVENTS = """
SELECT event FROM (
    SELECT event, number, kind, row_number() OVER (PARTITION BY kind ORDER BY number DESC) AS place,
        count(*) OVER (PARTITION BY kind) AS total
    FROM (
        SELECT event, number, json_extract(event, '$.kind') AS kind
        FROM events WHERE run = ? AND number > ?
    ) WHERE kind IN (SELECT value FROM json_each(?))
)
WHERE CASE kind WHEN 'evaluation' THEN (place - 1) % ((total + ? - 1) / ?) = 0 ELSE place <= ? END
ORDER BY number
"""
"""So many of each kind, oldest first: of evaluations every k-th from the newest on."""

COUNT_EVENTS = """
SELECT json_extract(event, '$.kind'), count(*) FROM events WHERE run = ? GROUP BY 1
"""

DROP_EVENTS = """
DELETE FROM events WHERE run = ? AND number IN (
    SELECT number FROM events WHERE run = ? AND json_extract(event, '$.kind') = ?
    ORDER BY number LIMIT ?
)
"""
"""Delete the oldest of a kind."""

THIN_EVALUATIONS = """
DELETE FROM events WHERE run = ? AND number IN (
    SELECT number FROM (
        SELECT number, row_number() OVER (ORDER BY number) AS place FROM events
        WHERE run = ? AND json_extract(event, '$.kind') = ? ORDER BY number LIMIT ?
    ) WHERE place % 2 = 0
)
"""
"""Delete every other one of the oldest of a kind."""
