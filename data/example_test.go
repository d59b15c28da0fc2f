package data

import "fmt"

func ExampleLoadTask() {
	splits, err := LoadTask("sst2", "../testdata/sst2", Train, Dev)
	if err != nil {
		fmt.Println(err)
		return
	}
	first := splits.Dev[0].Examples[0]
	fmt.Println(splits.Train.Len(), splits.Dev[0].Len(), splits.Task.Labels, splits.Task.Primary)
	fmt.Printf("%q is %s\n", first.Text, splits.Task.Labels[first.Label])
	// Output:
	// 8000 872 [negative positive] accuracy
	// "it 's a charming and often affecting journey . " is positive
}

func ExampleFileTask() {
	task := FileTask{
		Train: "testdata/glue/RTE/train.tsv",
		Dev:   "testdata/glue/RTE/dev.tsv",
		Kind:  Classification,
		Text:  []string{"sentence1", "sentence2"},
		Label: "label",
	}
	splits, err := task.Load()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(splits.Train.Len(), splits.Dev[0].Len(), splits.Task.Labels, splits.Task.Metrics)
	// Output: 12 12 [entailment not_entailment] [accuracy f1 f1_macro f1_weighted matthews]
}

func ExampleFitHead() {
	task := []string{"entailment", "neutral", "contradiction"}
	head := []string{"CONTRADICTION", "NEUTRAL", "ENTAILMENT"}
	order, err := FitHead(task, head)
	fmt.Println(order, err)
	// Output: [2 1 0] <nil>
}
