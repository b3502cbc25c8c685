-- From this release on a row also names whom the key of the message names. Rows of before do not have the key.
ALTER TABLE dead_letters
    COMMENT COLUMN user_ids 'whom the whole message and its key name; a deletion finds the row by them';

ALTER TABLE dead_letters_final
    COMMENT COLUMN user_ids 'whom the whole message and its key name; a deletion finds the row by them';
