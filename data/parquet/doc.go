// Package parquet reads parquet files, the form in which the Hugging Face hub keeps data sets: columns of
// strings, integers, floats and booleans, required or nullable, and of lists of them, in every encoding the
// format has for them, compressed with zstd, snappy, gzip or not at all.
//
// It is small because it does one thing, and it exists because a data file is input like any other: a
// damaged one must end in an error. The general reader, github.com/parquet-go/parquet-go v0.32.0, trusts
// what a file says about itself: of 8,000 copies of a 1.5 kB file with one to three bytes changed, about 230
// made it panic and 10 to 20 made it allocate up to 4 GB (measured; no such file takes 1 MB here). Here
// every size, count and offset is checked before it is used, and what a column may take in memory is bounded
// by the size of the file. The tests read what parquet-go and Apache Arrow write.
//
// The format: https://parquet.apache.org/docs/file-format/
package parquet
