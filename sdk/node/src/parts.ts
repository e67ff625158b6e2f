import { AccessClient } from "./access.ts";
import { AuditClient } from "./audit.ts";
import { CronClient } from "./cron.ts";
import { FilesClient } from "./files.ts";
import type { HttpOptions } from "./http.ts";
import { ImagesClient } from "./images.ts";
import { MembersClient } from "./members.ts";
import { NodesClient } from "./nodes.ts";
import { QuotasClient } from "./quotas.ts";
import { SecretsClient } from "./secrets.ts";
import { TokensClient } from "./tokens.ts";
import { WebhooksClient } from "./webhooks.ts";
import { WorkspacesClient } from "./workspaces.ts";

/** What a client has below names of their own. */
export class Parts {
  readonly files: FilesClient;
  readonly cron: CronClient;
  readonly workspaces: WorkspacesClient;
  readonly access: AccessClient;
  readonly images: ImagesClient;
  readonly tokens: TokensClient;
  readonly nodes: NodesClient;
  readonly members: MembersClient;
  readonly audit: AuditClient;
  readonly quotas: QuotasClient;
  readonly secrets: SecretsClient;
  readonly webhooks: WebhooksClient;

  constructor(http: HttpOptions) {
    this.files = new FilesClient(http);
    this.cron = new CronClient(http);
    this.workspaces = new WorkspacesClient(http);
    this.access = new AccessClient(http);
    this.images = new ImagesClient(http);
    this.tokens = new TokensClient(http);
    this.nodes = new NodesClient(http);
    this.members = new MembersClient(http);
    this.audit = new AuditClient(http);
    this.quotas = new QuotasClient(http);
    this.secrets = new SecretsClient(http);
    this.webhooks = new WebhooksClient(http);
  }
}
