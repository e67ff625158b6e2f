/** Where tests find the images; `npm test` sets it. */
export const imageDir = process.env.MAGS_IMAGE_DIR || "/var/cache/mags/images";
