import { IntentStore } from "@driver/intent/IntentStore"
import { intentStoreContract } from "./support/intentStoreContract.js"

intentStoreContract("memory", () => IntentStore.layerMemory)
