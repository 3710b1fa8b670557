/** One-time tokens by which sites join. */
import type { CreateToken, InviteView, TokenView } from './token-view.js';

export interface EnrolmentTokens {
  list(): Promise<readonly TokenView[]>;
  /** Throws ALREADY_EXISTS where an agent that is not revoked has this name. */
  create(request: CreateToken, by: string): Promise<InviteView>;
  /** NOT_FOUND for an unknown one; a used one stays used. */
  revoke(id: string, by: string): Promise<TokenView>;
}
