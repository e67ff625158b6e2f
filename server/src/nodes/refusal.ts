import { ApiError, type ErrorCode, errors } from "@mags/protocol";
import { z } from "zod";

const Refusal = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** Why an agent did not do what it was asked, for the client that asked for it. */
export async function refusal(node: string, response: Response): Promise<ApiError> {
  const said = Refusal.safeParse(await response.json().catch(() => undefined));
  if (said.success && said.data.error.code in errors)
    return new ApiError(said.data.error.code as ErrorCode, said.data.error.message);
  return new ApiError("unavailable", `node ${node} answers with status ${response.status}`);
}
