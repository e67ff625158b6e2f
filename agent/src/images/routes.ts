import { ApiError, ImageQuery, type NodeImage, offersImage } from "@mags/protocol";
import type { FastifyInstance } from "fastify";

/** The images of a node. */
interface Images {
  readonly offered: string[];
  list(): Promise<NodeImage[]>;
  make(name: string): NodeImage;
  remove(name: string): Promise<void>;
}

/** What the server asks about the images of this node. */
export function imageRoutes(app: FastifyInstance, images: Images): void {
  app.get("/agent/v1/images", async () => ({ images: await images.list() }));
  app.post("/agent/v1/images", async ({ body }) => {
    const { image } = ImageQuery.parse(body);
    if (!offersImage(images.offered, image)) throw new ApiError("invalid_request", `image ${image} cannot be had here`);
    return images.make(image);
  });
  app.post("/agent/v1/images/remove", async ({ body }) => {
    await images.remove(ImageQuery.parse(body).image);
    return {};
  });
}
