/**
 * How a connection into a sandbox is given to a gateway in the agent's own process, so that visitors' bytes do not pass through the
 * agent. The caller of `dial` sends `HANDOVER_ASK`, the SHA-256 (hex) of a secret that the process made for itself; an agent with the
 * same secret answers `HANDOVER_GIVE`, the descriptor and the secret with a space between. The caller says that it has taken it with a
 * first byte. The line stays open for as long as the connection does.
 */
export const HANDOVER_ASK = "x-mags-handover";
export const HANDOVER_GIVE = "x-mags-descriptor";
