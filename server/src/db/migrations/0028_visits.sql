-- Machines in which a server reads or writes files of a workspace. It counts `beat` up for as long; where that stands still, the
-- server has died, and what it wrote is given up.
CREATE TABLE visits (
  job uuid PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  org text NOT NULL REFERENCES organisations (id),
  beat integer NOT NULL DEFAULT 0
);
