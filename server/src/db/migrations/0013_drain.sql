-- A node that is being drained gets no new work, and its machines move on as soon as nobody is in them.
ALTER TABLE nodes ADD COLUMN draining_since timestamptz;
