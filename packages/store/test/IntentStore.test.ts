import * as IntentStores from "@driver/store/IntentStores"
import { Layer } from "effect"
import { delegationStoreContract } from "../../intent/test/support/delegationStoreContract.js"
import { intentStoreContract } from "../../intent/test/support/intentStoreContract.js"
import { registryContract } from "../../intent/test/support/registryContract.js"
import { sqlBackends } from "./support/backends.js"

for (const { available, database, name } of sqlBackends) {
  const stores = () => Layer.provide(IntentStores.layer, database)
  intentStoreContract(name, stores, { available })
  registryContract(name, stores, { available })
  delegationStoreContract(name, stores, { available })
}
