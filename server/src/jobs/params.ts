import { z } from "zod";

export const JobParams = z.object({ id: z.string().describe("Id of a job, or the name or workspace of a live one") });
