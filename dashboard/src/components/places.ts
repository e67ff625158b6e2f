import { allows, type TokenScope } from "@mags/protocol";
import { useWhoami } from "../api/operate.ts";

interface Place {
  to: string;
  text: string;
}

const PLACES: readonly (readonly [
  group: string,
  places: readonly (readonly [to: string, text: string, needs?: TokenScope])[],
])[] = [
  [
    "Run",
    [
      ["/jobs", "Jobs"],
      ["/workspaces", "Workspaces"],
      ["/cron", "Schedules"],
      ["/urls", "URLs and keys"],
    ],
  ],
  [
    "Organisation",
    [
      ["/members", "Members", "admin"],
      ["/tokens", "Tokens", "admin"],
      ["/secrets", "Secrets", "admin"],
      ["/webhooks", "Webhooks", "admin"],
      ["/usage", "Usage"],
      ["/quota", "Limits"],
      ["/audit", "Audit log", "admin"],
    ],
  ],
  ["Installation", [["/system", "System"]]],
];

/** Where whoever is signed in may go, by groups; the whole menu. */
export function usePlaces(): { group: string; places: Place[] }[] {
  const scopes = useWhoami().data?.scopes ?? [];
  return PLACES.map(([group, places]) => ({
    group,
    places: places.filter(([, , needs]) => !needs || allows(scopes, needs)).map(([to, text]) => ({ to, text })),
  })).filter(({ places }) => places.length > 0);
}
