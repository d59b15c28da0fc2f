// Package parquet reads columns of parquet files, the form in which the Hugging Face hub keeps data sets: strings,
// integers, floats and booleans, required or nullable, and lists of them.
//
// github.com/parquet-go/parquet-go does the reading. A data file is input like any other: a damaged one must end in
// an error. parquet-go v0.32.0 trusts what a file says about itself, and of 8,000 copies of a 1.5 kB file with one
// to three bytes changed about 230 made it panic and 10 to 20 made it take up to 4 GB. So this package stands
// around it. Every size, count and offset is checked before parquet-go takes memory or stack for it (guard.go), what
// a column may take is bounded by the size of the file, its functions are called page by page in the caller's
// goroutine, none of its readers that start goroutines, and what still panics there is an error here.
//
// The format: https://parquet.apache.org/docs/file-format/
package parquet
