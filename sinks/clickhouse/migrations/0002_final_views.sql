-- <table>_final: the view for queries. It has one row for each key (FINAL), and NULL for a time that has not happened.

CREATE OR REPLACE VIEW events_final AS SELECT * FROM events FINAL;

CREATE OR REPLACE VIEW decisions_final AS SELECT * FROM decisions FINAL;

CREATE OR REPLACE VIEW recommendations_final AS SELECT * FROM recommendations FINAL;

CREATE OR REPLACE VIEW outcomes_final AS SELECT * FROM outcomes FINAL;

CREATE OR REPLACE VIEW stuck_signals_final AS SELECT * FROM stuck_signals FINAL;

CREATE OR REPLACE VIEW step_progress_final AS
SELECT * REPLACE (
    nullIf(first_seen_at, toDateTime64(0, 3, 'UTC')) AS first_seen_at,
    nullIf(last_seen_at, toDateTime64(0, 3, 'UTC')) AS last_seen_at,
    nullIf(current_since_at, toDateTime64(0, 3, 'UTC')) AS current_since_at,
    nullIf(completed_at, toDateTime64(0, 3, 'UTC')) AS completed_at
)
FROM step_progress FINAL;

CREATE OR REPLACE VIEW people_final AS
SELECT * REPLACE (
    nullIf(first_seen_at, toDateTime64(0, 3, 'UTC')) AS first_seen_at,
    nullIf(signup_at, toDateTime64(0, 3, 'UTC')) AS signup_at,
    nullIf(last_active_at, toDateTime64(0, 3, 'UTC')) AS last_active_at,
    nullIf(activated_at, toDateTime64(0, 3, 'UTC')) AS activated_at
)
FROM people FINAL;

CREATE OR REPLACE VIEW arm_posteriors_final AS SELECT * FROM arm_posteriors FINAL;

CREATE OR REPLACE VIEW dead_letters_final AS SELECT * FROM dead_letters FINAL;

CREATE OR REPLACE VIEW step_metrics_1m_final AS SELECT * FROM step_metrics_1m FINAL;
