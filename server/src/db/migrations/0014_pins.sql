-- What a job ran on, so that it can be run again on the same: the exact image that it asks for, and the version that its disk
-- began as. A version may be deleted since; then its row is gone and only the text is left.
ALTER TABLE jobs ADD COLUMN image_digest text, ADD COLUMN start_version uuid, ADD COLUMN started_from text, ADD COLUMN rerun_of uuid;
-- Digests of the images in rootfs_types.
ALTER TABLE nodes ADD COLUMN image_digests text[] NOT NULL DEFAULT '{}';
