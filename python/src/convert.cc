#include "convert.h"

#include <string>

namespace pyro::python {
namespace {

namespace py = pybind11;

// `errors`: what becomes of bytes that are not UTF-8, by one of Python's names for it.
py::str Text(const std::string& text, const char* errors = "replace") {
  PyObject* made = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), errors);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(made);
}

// A path of a guest: as os.fsdecode() gives it, so that a call takes it back.
py::str PathText(const std::string& path) { return Text(path, "surrogateescape"); }

// The words of a command. Given back to a call they are the same bytes again.
py::list Words(const Json& words) {
  py::list list;
  for (const Json& word : words) {
    list.append(Text(word.get_ref<const std::string&>(), "surrogateescape"));
  }
  return list;
}

bool IsOutput(const std::string& key) {
  return key == "stdout" || key == "stderr" || key == "text";
}

}  // namespace

py::object ToPython(const Json& value, Output output) {
  switch (value.type()) {
    case Json::value_t::object: {
      py::dict dict;
      for (const auto& [key, item] : value.items()) {
        const bool words = key == "command" && item.is_array();
        if (output == Output::kBytes && item.is_string() && IsOutput(key)) {
          dict[Text(key)] = py::bytes(item.get_ref<const std::string&>());
        } else if ((key == "path" || key == "target") && item.is_string()) {
          dict[Text(key)] = PathText(item.get_ref<const std::string&>());
        } else {
          dict[Text(key)] = words ? py::object(Words(item)) : ToPython(item, output);
        }
      }
      return dict;
    }
    case Json::value_t::array: {
      py::list list;
      for (const Json& item : value) list.append(ToPython(item, output));
      return list;
    }
    case Json::value_t::string:
      return Text(value.get_ref<const std::string&>());
    case Json::value_t::boolean:
      return py::bool_(value.get<bool>());
    case Json::value_t::number_integer:
      return py::int_(value.get<std::int64_t>());
    case Json::value_t::number_unsigned:
      return py::int_(value.get<std::uint64_t>());
    case Json::value_t::number_float:
      return py::float_(value.get<double>());
    default:
      return py::none();
  }
}

void Throw(const Error& error) {
  const py::object made =
      py::module_::import("pyro_mcp.errors")
          .attr("error_of_code")(Text(std::string(ErrorCodeName(error.code))), Text(error.message),
                                 Text(error.hint), PathText(error.path));
  PyErr_SetObject(py::type::handle_of(made).ptr(), made.ptr());
  throw py::error_already_set();
}

}  // namespace pyro::python
