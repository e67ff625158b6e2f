import { ErrorBody, ImageList, ImageQuery, MakeImage } from "@mags/protocol";
import type { App, Context } from "../http/context.ts";
import { refuseUnstorableText } from "../http/validation.ts";

const tags = ["images"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
// The nodes' disks are shared by all organisations.
const operator = { config: { scope: "operator" as const } };

export function imageRoutes({ images }: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("preValidation", async (request) => refuseUnstorableText(request.body));
    app.get(
      "/mags-images",
      {
        ...operator,
        schema: {
          tags,
          operationId: "listImages",
          summary: "List the images of the nodes",
          description: "Every recipe, and every image of a registry that is on a node or was tried.",
          response: { 200: ImageList, ...failures },
        },
      },
      () => images.list(),
    );
    app.post(
      "/mags-images",
      {
        ...operator,
        schema: {
          tags,
          operationId: "makeImage",
          summary: "Build or pull an image",
          description:
            "Begins it on the nodes and answers at once; the list shows how far it is. Where nothing has changed since the last time, nothing is done. A job that names an image does the same where it is not there.",
          body: MakeImage,
          response: { 202: ImageList, ...failures },
        },
      },
      async ({ body }, reply) => reply.status(202).send(await images.make(body.image, body.node)),
    );
    app.delete(
      "/mags-images",
      {
        ...operator,
        schema: {
          tags,
          operationId: "removeImage",
          summary: "Remove an image from the nodes",
          description: "Refused while a job or a workspace of any organisation needs it.",
          querystring: ImageQuery,
          response: { 200: ImageList, ...failures },
        },
      },
      async ({ query }) => {
        await images.remove(query.image);
        return images.list();
      },
    );
  };
}
