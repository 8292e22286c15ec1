package firecracker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// description is where Firecracker's published description of its API lies
// beside the repository.
const description = "../../../../shared/firecracker.yaml"

// spec is a description of an API, by OpenAPI 2.0.
type spec struct{ root map[string]any }

func readSpec(path string) (*spec, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &spec{}
	if err := yaml.Unmarshal(text, &s.root); err != nil {
		return nil, err
	}
	if s.root["swagger"] != "2.0" {
		return nil, errors.New("it is not OpenAPI 2.0")
	}
	return s, nil
}

// operation is that of a method and a path.
func (s *spec) operation(method, path string) (map[string]any, error) {
	paths, _ := s.root["paths"].(map[string]any)
	for template, item := range paths {
		if !fits(template, path) {
			continue
		}
		op, ok := item.(map[string]any)[strings.ToLower(method)].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s has no %s", template, method)
		}
		return op, nil
	}
	return nil, fmt.Errorf("there is no path %s", path)
}

func fits(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i, part := range want {
		if part != got[i] && !(strings.HasPrefix(part, "{") && got[i] != "") {
			return false
		}
	}
	return true
}

// request finds what is wrong with one.
func (s *spec) request(method, path string, body []byte) error {
	op, err := s.operation(method, path)
	if err != nil {
		return err
	}
	params, _ := op["parameters"].([]any)
	for _, p := range params {
		param := p.(map[string]any)
		if param["in"] != "body" {
			continue
		}
		if len(body) == 0 {
			return errors.New("no body")
		}
		return s.document(param["schema"], body)
	}
	if len(body) > 0 {
		return errors.New("a body where there is none")
	}
	return nil
}

// success is the status of success of an operation.
func (s *spec) success(method, path string) (int, error) {
	op, err := s.operation(method, path)
	if err != nil {
		return 0, err
	}
	for code := range responses(op) {
		if n, err := strconv.Atoi(code); err == nil && n/100 == 2 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s %s cannot succeed", method, path)
}

// answer finds what is wrong with an answer.
func (s *spec) answer(method, path string, status int, body []byte) error {
	op, err := s.operation(method, path)
	if err != nil {
		return err
	}
	all := responses(op)
	response, ok := all[strconv.Itoa(status)]
	if !ok {
		if response, ok = all["default"]; !ok {
			return fmt.Errorf("no status %d", status)
		}
	}
	schema := response.(map[string]any)["schema"]
	if schema == nil {
		if len(body) > 0 {
			return errors.New("a body where there is none")
		}
		return nil
	}
	return s.document(schema, body)
}

// responses by status; YAML has the numbers as such.
func responses(op map[string]any) map[string]any {
	out := map[string]any{}
	switch all := op["responses"].(type) {
	case map[string]any:
		return all
	case map[any]any:
		for code, response := range all {
			out[fmt.Sprint(code)] = response
		}
	}
	return out
}

func (s *spec) document(schema any, text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more than one value")
	}
	return s.value("body", schema, value)
}

// value finds what is wrong with a value. It takes no schema that says what it
// does not understand.
func (s *spec) value(at string, schema, value any) error {
	def := schema.(map[string]any)
	if ref, ok := def["$ref"].(string); ok {
		name, ok := strings.CutPrefix(ref, "#/definitions/")
		target := s.root["definitions"].(map[string]any)[name]
		if !ok || target == nil {
			return fmt.Errorf("%s: there is no %s", at, ref)
		}
		return s.value(at, target, value)
	}
	for key := range def {
		switch key {
		case "type", "required", "properties", "items", "enum", "minimum", "maximum":
		case "description", "default", "format", "readOnly", "example":
		default:
			return fmt.Errorf("%s: what does %q mean?", at, key)
		}
	}
	if enum, ok := def["enum"].([]any); ok && !slices.Contains(enum, value) {
		return fmt.Errorf("%s: %v is none of %v", at, value, enum)
	}
	switch def["type"] {
	case "object":
		return s.object(at, def, value)
	case "array":
		list, ok := value.([]any)
		if !ok {
			return fmt.Errorf("%s is no list", at)
		}
		for i, item := range list {
			if err := s.value(fmt.Sprintf("%s[%d]", at, i), def["items"], item); err != nil {
				return err
			}
		}
		return nil
	case "string":
		if _, ok := value.(string); !ok {
			return fmt.Errorf("%s is no string", at)
		}
		return nil
	case "boolean":
		if _, ok := value.(bool); !ok {
			return fmt.Errorf("%s is no boolean", at)
		}
		return nil
	case "integer":
		number, ok := value.(json.Number)
		n, err := strconv.ParseInt(string(number), 10, 64)
		if !ok || err != nil {
			return fmt.Errorf("%s is no integer", at)
		}
		if n < bound(def["minimum"], math.MinInt64) || n > bound(def["maximum"], math.MaxInt64) {
			return fmt.Errorf("%s: %d is out of bounds", at, n)
		}
		return nil
	}
	return fmt.Errorf("%s: what is a %v?", at, def["type"])
}

func bound(v any, otherwise int64) int64 {
	if n, ok := v.(int); ok {
		return int64(n)
	}
	return otherwise
}

func (s *spec) object(at string, def map[string]any, value any) error {
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is no object", at)
	}
	required, _ := def["required"].([]any)
	for _, key := range required {
		if _, ok := object[key.(string)]; !ok {
			return fmt.Errorf("%s.%s is missing", at, key)
		}
	}
	properties, _ := def["properties"].(map[string]any)
	for key, v := range object {
		schema, ok := properties[key]
		if !ok {
			return fmt.Errorf("%s.%s is unknown", at, key)
		}
		if err := s.value(at+"."+key, schema, v); err != nil {
			return err
		}
	}
	return nil
}

// published is the description, for a test that is nothing without.
func published(t *testing.T) *spec {
	t.Helper()
	s, err := readSpec(description)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no ../shared/firecracker.yaml beside the repository: Firecracker's description of its API")
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSpec shows that the validator rejects what it should.
func TestSpec(t *testing.T) {
	s := published(t)
	for _, tc := range []struct {
		method, path, body string
		want               string // a part of the error; "" is none
	}{
		{"PUT", "/machine-config", `{"vcpu_count":2,"mem_size_mib":512}`, ""},
		{"PUT", "/machine-config", `{"vcpu_count":2}`, "mem_size_mib is missing"},
		{"PUT", "/machine-config", `{"vcpu_count":33,"mem_size_mib":512}`, "out of bounds"},
		{"PUT", "/machine-config", `{"vcpu_count":"2","mem_size_mib":512}`, "no integer"},
		{"PUT", "/machine-config", `{"vcpu_count":1.5,"mem_size_mib":512}`, "no integer"},
		{"PUT", "/machine-config", `{"vcpu_count":2,"mem_size_mib":512,"ht_enabled":false}`, "ht_enabled is unknown"},
		{"PUT", "/machine-config", `{"vcpu_count":2,"mem_size_mib":512,"cpu_template":"T9"}`, "is none of"},
		{"PUT", "/machine-config", `[]`, "no object"},
		{"PUT", "/machine-config", `{} {}`, "more than one"},
		{"PUT", "/machine-config", ``, "no body"},
		{"PUT", "/machine-configs", `{}`, "no path"},
		{"POST", "/machine-config", `{}`, "has no POST"},
		{"GET", "/version", ``, ""},
		{"GET", "/version", `{}`, "a body"},
		{"PUT", "/drives/a", `{"drive_id":"a","is_root_device":false,"is_read_only":true,"path_on_host":"x"}`, ""},
		{"PUT", "/drives/a", `{"drive_id":"a","is_root_device":0}`, "no boolean"},
		{"PUT", "/drives/a/b", `{}`, "no path"},
		{"PUT", "/drives/", `{}`, "no path"},
		{"PUT", "/vsock", `{"guest_cid":2,"uds_path":"v"}`, "out of bounds"},
		{"PUT", "/vsock", `{"guest_cid":3,"uds_path":7}`, "no string"},
		{"PUT", "/actions", `{"action_type":"Start"}`, "is none of"},
		{"PUT", "/entropy", `{}`, ""},
		{"PUT", "/entropy", `{"rate_limiter":{"ops":{"size":1}}}`, "refill_time is missing"},
		{"PUT", "/cpu-config", `{"kvm_capabilities":["a",1]}`, "[1] is no string"},
	} {
		err := s.request(tc.method, tc.path, []byte(tc.body))
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %s %s: got %v, want %q", tc.method, tc.path, tc.body, err, tc.want)
		}
	}
	for _, tc := range []struct {
		method, path string
		status       int
		body, want   string
	}{
		{"GET", "/version", 200, `{"firecracker_version":"1"}`, ""},
		{"GET", "/version", 200, `{}`, "is missing"},
		{"GET", "/version", 500, `{"fault_message":"x"}`, ""},
		{"PUT", "/vsock", 204, ``, ""},
		{"PUT", "/vsock", 204, `{}`, "a body"},
		{"PUT", "/vsock", 400, `{"fault_message":"x"}`, ""},
		{"PUT", "/vsock", 400, `{"fault":"x"}`, "unknown"},
	} {
		err := s.answer(tc.method, tc.path, tc.status, []byte(tc.body))
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %s %d %s: got %v, want %q", tc.method, tc.path, tc.status, tc.body, err, tc.want)
		}
	}
	for path, want := range map[string]int{"/": 200, "/version": 200} {
		if got, err := s.success("GET", path); got != want || err != nil {
			t.Errorf("GET %s: %d, %v", path, got, err)
		}
	}
	for _, path := range []string{"/logger", "/actions", "/drives/x"} {
		if got, err := s.success("PUT", path); got != 204 || err != nil {
			t.Errorf("PUT %s: %d, %v", path, got, err)
		}
	}
}
