-- Views and comments that said another thing than what is counted.

ALTER TABLE step_metrics_1m COMMENT COLUMN metric 'what is counted: completed (once for each user and step; a visitor''s are taken back when the user takes them over), signal, decision, `non_decision`, event, or a kind of outcome';
ALTER TABLE step_metrics_1m_final COMMENT COLUMN metric 'what is counted: completed (once for each user and step; a visitor''s are taken back when the user takes them over), signal, decision, `non_decision`, event, or a kind of outcome';
ALTER TABLE step_metrics COMMENT COLUMN metric 'what is counted: completed (once for each user and step; a visitor''s are taken back when the user takes them over), signal, decision, `non_decision`, event, or a kind of outcome';
