/** Lets a request in by its API key: `Authorization: Bearer graft_...`, and only to what the key's role allows. */
import { SetMetadata, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Request } from 'express';

import { GraftError } from '@graft/core/error';

import { includes, type Caller, type Role } from './roles.js';

const neededRole = 'graft:role';
type Needed = Role | 'public';

/** The least role of a route; without it a viewer may read (GET) and an operator may change (all else). */
export const Needs = (role: Needed): MethodDecorator & ClassDecorator => SetMetadata(neededRole, role);

/** A request that was let in. */
export type AdmittedRequest = Request & { caller?: Caller };

export class ApiKeyGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly callerOf: (key: string) => Promise<Caller | undefined>,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<AdmittedRequest>();
    const stated = this.reflector.getAllAndOverride<Needed | undefined>(neededRole, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (stated === 'public') return true;
    const needed = stated ?? (request.method === 'GET' || request.method === 'HEAD' ? 'viewer' : 'operator');
    const key = /^Bearer +(\S+)$/iu.exec(request.headers.authorization ?? '')?.[1];
    if (key === undefined)
      throw new GraftError('UNAUTHENTICATED', 'the request carries no API key (Authorization: Bearer KEY)');
    const caller = await this.callerOf(key);
    if (caller === undefined)
      throw new GraftError('UNAUTHENTICATED', 'the API key is not known here, or has been revoked');
    if (!includes(caller.role, needed)) {
      throw new GraftError('FORBIDDEN', `key '${caller.name}' has the role ${caller.role}, this needs ${needed}`);
    }
    request.caller = caller;
    return true;
  }
}
