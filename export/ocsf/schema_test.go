package ocsf

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
)

// What version 1.7.0 of the schema asks of the classes and objects in use, from
// its definitions: attributes in use with their types, those that are required,
// and those of which one has to be there.

type definition struct {
	required   []string
	oneOf      []string
	attributes map[string]string // a type, or the name of an object; [] before it for a list
}

var baseAttributes = map[string]string{
	"activity_id": "integer", "activity_name": "string", "category_uid": "integer", "class_uid": "integer", "type_uid": "integer", "time": "integer",
	"start_time": "integer", "end_time": "integer", "severity_id": "integer", "status_id": "integer", "status_code": "string", "status_detail": "string",
	"message": "string", "count": "integer", "metadata": "metadata", "enrichments": "[]enrichment", "unmapped": "any",
	"actor": "actor", "device": "device", // of the profile "host", which all events name
}

var baseRequired = []string{"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}

var networkAttributes = map[string]string{"connection_info": "connection_info", "dst_endpoint": "endpoint", "src_endpoint": "endpoint"}

type class struct {
	definition
	activities []int
}

var classes = map[int]class{
	0: {definition{}, []int{0, 99}},
	1001: {definition{required: []string{"actor", "device", "file"}, attributes: map[string]string{"file": "file", "file_result": "file"}},
		[]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 99}},
	1007: {definition{required: []string{"actor", "device", "process"}, attributes: map[string]string{"process": "process", "exit_code": "integer", "launch_type_id": "integer"}},
		[]int{0, 1, 2, 3, 4, 5, 99}},
	4001: {definition{oneOf: []string{"dst_endpoint", "src_endpoint"}, attributes: networkAttributes}, []int{0, 1, 2, 3, 4, 5, 6, 7, 99}},
	4003: {definition{oneOf: []string{"dst_endpoint", "src_endpoint"}, attributes: map[string]string{"connection_info": "connection_info", "dst_endpoint": "endpoint", "src_endpoint": "endpoint", "query": "query"}},
		[]int{0, 1, 2, 6, 99}},
}

var objects = map[string]definition{
	"metadata": {required: []string{"product", "version"}, attributes: map[string]string{
		"product": "product", "version": "string", "profiles": "[]string", "log_name": "string", "log_version": "string",
		"correlation_uid": "string", "uid": "string", "sequence": "integer", "labels": "[]string"}},
	"product": {oneOf: []string{"name", "uid"}, attributes: map[string]string{"name": "string", "vendor_name": "string", "version": "string"}},
	"device": {required: []string{"type_id"}, oneOf: []string{"ip", "uid", "name", "hostname", "instance_uid", "interface_uid", "interface_name"},
		attributes: map[string]string{"name": "string", "type_id": "integer", "os": "os"}},
	"os": {required: []string{"name", "type_id"}, attributes: map[string]string{"name": "string", "type": "string", "type_id": "integer", "kernel_release": "string"}},
	"actor": {oneOf: []string{"process", "user", "invoked_by", "session", "app_name", "app_uid"},
		attributes: map[string]string{"process": "process", "app_name": "string", "app_uid": "string"}},
	"process": {oneOf: []string{"pid", "uid", "cpid"}, attributes: map[string]string{
		"pid": "integer", "uid": "string", "name": "string", "cmd_line": "string", "file": "file", "user": "user", "working_directory": "string",
		"created_time": "integer", "terminated_time": "integer", "parent_process": "process"}},
	"user": {oneOf: []string{"account", "name", "uid"}, attributes: map[string]string{"uid": "string"}},
	"file": {required: []string{"name", "type_id"}, attributes: map[string]string{
		"name": "string", "path": "string", "type": "string", "type_id": "integer", "size": "integer", "is_deleted": "boolean"}},
	"endpoint": {oneOf: []string{"ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name", "domain"},
		attributes: map[string]string{"ip": "string", "port": "integer", "name": "string"}},
	"connection_info": {required: []string{"direction_id"}, attributes: map[string]string{
		"protocol_name": "string", "protocol_num": "integer", "protocol_ver_id": "integer", "direction_id": "integer", "boundary_id": "integer"}},
	"query":      {required: []string{"hostname"}, attributes: map[string]string{"hostname": "string", "type": "string"}},
	"enrichment": {required: []string{"data", "name", "value"}, attributes: map[string]string{"name": "string", "value": "string", "type": "string", "data": "any"}},
}

// enums by attribute; of type_id by object.
var enums = map[string][]int{
	"severity_id": {0, 1, 2, 3, 4, 5, 6, 99}, "status_id": {0, 1, 2, 99}, "launch_type_id": {0, 1, 2, 3, 99},
	"direction_id": {0, 1, 2, 3, 4, 99}, "boundary_id": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99}, "protocol_ver_id": {0, 4, 6, 99},
	"file.type_id": {0, 1, 2, 3, 4, 5, 6, 7, 8, 99}, "device.type_id": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 99},
	"os.type_id": {0, 99, 100, 101, 200, 201, 300, 301, 302, 400, 401, 402},
}

func checkEvent(e map[string]any) []string {
	number := func(key string) int {
		n, err := strconv.Atoi(fmt.Sprint(e[key]))
		if err != nil {
			return -1
		}
		return n
	}
	uid, activity := number("class_uid"), number("activity_id")
	c, ok := classes[uid]
	if !ok {
		return []string{fmt.Sprintf("no class %d", uid)}
	}
	var bad []string
	if !slices.Contains(c.activities, activity) || number("type_uid") != uid*100+activity || number("category_uid") != uid/1000 {
		bad = append(bad, fmt.Sprintf("class %d: activity %d, type %v, category %v", uid, activity, e["type_uid"], e["category_uid"]))
	}
	if activity == 99 && e["activity_name"] == nil {
		bad = append(bad, "an activity without a name")
	}
	def := definition{slices.Concat(baseRequired, c.required), c.oneOf, map[string]string{}}
	for _, list := range []map[string]string{baseAttributes, c.attributes} {
		for k, v := range list {
			def.attributes[k] = v
		}
	}
	return append(bad, check(strconv.Itoa(uid), def, e)...)
}

func check(name string, def definition, object map[string]any) (bad []string) {
	for _, key := range def.required {
		if _, ok := object[key]; !ok {
			bad = append(bad, name+": no "+key)
		}
	}
	if len(def.oneOf) > 0 && !slices.ContainsFunc(def.oneOf, func(key string) bool { _, ok := object[key]; return ok }) {
		bad = append(bad, fmt.Sprintf("%s: none of %v", name, def.oneOf))
	}
	for key, value := range object {
		kind, ok := def.attributes[key]
		if !ok {
			bad = append(bad, name+": there is no "+key)
			continue
		}
		bad = append(bad, checkValue(name, key, kind, value)...)
	}
	return bad
}

func checkValue(object, key, kind string, value any) (bad []string) {
	where := object + "." + key
	if len(kind) > 2 && kind[:2] == "[]" {
		list, ok := value.([]any)
		if !ok {
			return []string{where + " is no list"}
		}
		for _, v := range list {
			bad = append(bad, checkValue(object, key, kind[2:], v)...)
		}
		return bad
	}
	switch kind {
	case "any":
		if _, ok := value.(map[string]any); !ok {
			return []string{where + " is no object"}
		}
	case "string":
		if _, ok := value.(string); !ok {
			return []string{where + " is no string"}
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			return []string{where + " is no boolean"}
		}
	case "integer":
		n, ok := value.(json.Number)
		i, err := strconv.ParseInt(string(n), 10, 64)
		if !ok || err != nil {
			return []string{where + " is no integer"}
		}
		values, ok := enums[where]
		if !ok {
			values, ok = enums[key]
		}
		if ok && !slices.Contains(values, int(i)) {
			return []string{fmt.Sprintf("%s cannot be %d", where, i)}
		}
		if key == "port" && (i < 0 || i > 65535) {
			return []string{fmt.Sprintf("%s cannot be %d", where, i)}
		}
	default:
		m, ok := value.(map[string]any)
		if !ok {
			return []string{where + " is no object"}
		}
		return check(kind, objects[kind], m)
	}
	return nil
}

// The check finds what it should.
func TestCheck(t *testing.T) {
	for name, spoil := range map[string]func(e map[string]any){
		"required":       func(e map[string]any) { delete(e, "time") },
		"of the class":   func(e map[string]any) { delete(e, "file") },
		"of an object":   func(e map[string]any) { delete(e["file"].(map[string]any), "name") },
		"one of":         func(e map[string]any) { e["actor"] = map[string]any{} },
		"unknown":        func(e map[string]any) { e["process"] = map[string]any{"pid": json.Number("1")} },
		"a type":         func(e map[string]any) { e["time"] = "1" },
		"an enum":        func(e map[string]any) { e["file"].(map[string]any)["type_id"] = json.Number("9") },
		"the type's uid": func(e map[string]any) { e["type_uid"] = json.Number("1") },
		"other":          func(e map[string]any) { e["activity_id"], e["type_uid"] = json.Number("99"), json.Number("100199") },
	} {
		t.Run(name, func(t *testing.T) {
			for _, e := range write(t, sample()) {
				if get(e, "class_uid") != "1001" {
					continue
				}
				if got := checkEvent(e); len(got) != 0 {
					t.Fatal(got)
				}
				if spoil(e); len(checkEvent(e)) != 1 {
					t.Errorf("complaints: %q", checkEvent(e))
				}
				return
			}
		})
	}
}
