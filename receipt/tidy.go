package receipt

import (
	"reflect"
	"sync"
)

// tidier brings values of one type into text form: nil lists and maps become
// empty ones, strings get theirs. It is made once for a type and looks only
// where there is something to do.
type tidier func(v reflect.Value)

// receiptTidy is made by the first who needs it.
var receiptTidy = sync.OnceValue(func() tidier { return tidierOf(reflect.TypeFor[Receipt]()) })

// tidierOf is nil for a type that is always tidy.
func tidierOf(typ reflect.Type) tidier {
	switch typ.Kind() {
	case reflect.String:
		return func(v reflect.Value) { tidyText(v.Addr().Interface().(*string)) }
	case reflect.Pointer:
		return tidyPointer(tidierOf(typ.Elem()))
	case reflect.Struct:
		return tidyStruct(typ)
	case reflect.Slice:
		return tidySlice(typ)
	case reflect.Map:
		return func(v reflect.Value) {
			if v.IsNil() {
				v.Set(reflect.MakeMap(typ))
			}
		}
	}
	return nil
}

func tidyText(s *string) {
	if !IsText(*s) {
		*s = Text(*s)
	}
}

func tidyPointer(to tidier) tidier {
	if to == nil {
		return nil
	}
	return func(v reflect.Value) {
		if !v.IsNil() {
			to(v.Elem())
		}
	}
}

func tidyStruct(typ reflect.Type) tidier {
	if typ == timeType {
		return nil
	}
	type part struct {
		field int
		tidy  tidier
	}
	var parts []part
	for i := range typ.NumField() {
		if t := tidierOf(typ.Field(i).Type); t != nil {
			parts = append(parts, part{i, t})
		}
	}
	if parts == nil {
		return nil
	}
	return func(v reflect.Value) {
		for _, p := range parts {
			p.tidy(v.Field(p.field))
		}
	}
}

func tidySlice(typ reflect.Type) tidier {
	if typ.Elem().Kind() == reflect.Uint8 {
		return nil
	}
	switch typ {
	case reflect.TypeFor[[]string]():
		return func(v reflect.Value) { tidyTexts(v.Addr().Interface().(*[]string)) }
	case reflect.TypeFor[[]FileEntry]():
		return nil // see normalizeFiles
	}
	element := tidierOf(typ.Elem())
	return func(v reflect.Value) {
		if v.IsNil() {
			v.Set(reflect.MakeSlice(typ, 0, 0))
		}
		if element == nil {
			return
		}
		for i := range v.Len() {
			element(v.Index(i))
		}
	}
}

func tidyTexts(list *[]string) {
	if *list == nil {
		*list = []string{}
	}
	for i := range *list {
		tidyText(&(*list)[i])
	}
}

var timeType = reflect.TypeFor[Time]()
