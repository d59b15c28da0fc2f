// Package hub gets models and data sets from the Hugging Face hub into the cache folder that the Python
// libraries use, in their layout, so that what one has fetched the other finds:
//
//	CACHE/models--ORG--NAME/blobs/ETAG                the contents, named by their sum
//	CACHE/models--ORG--NAME/snapshots/COMMIT/FILE     links to them
//	CACHE/models--ORG--NAME/refs/main                 the commit that the branch was at
//
// [Client.Resolve] is what a --model flag needs, for a [Kind]: it takes a folder, or a name that is in the cache or on
// the hub. [Client.Model] and [Client.Dataset] ask the hub for the newest version.
//
// Only safetensors weights and plain-text or JSON files are fetched, never pickles. Downloads go on where they
// were cut off, are checked against the hub's sums, and appear whole or not at all; any number of processes may
// fetch the same files at once.
//
// The settings come from the variables that the Python libraries read: HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH,
// HF_HOME, HF_HUB_CACHE, XDG_CACHE_HOME, HF_HUB_OFFLINE, HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT.
package hub
