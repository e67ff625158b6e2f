/** Where tests find the images; `npm test` sets it. */
export const imageDir = process.env.MAGS_IMAGE_DIR || "/var/cache/mags/images";

/** Whether drivers whose sandboxes take seconds to start are tested with the whole suite, and not a representative part. */
export const wholeSuite = process.env.MAGS_WHOLE_SUITE === "1";
