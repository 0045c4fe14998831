#include "convert.h"

#include <string>

namespace pyro::python {
namespace {

namespace py = pybind11;

py::str Text(const std::string& text) {
  PyObject* made =
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(made);
}

}  // namespace

py::object ToPython(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object: {
      py::dict dict;
      for (const auto& [key, item] : value.items()) dict[Text(key)] = ToPython(item);
      return dict;
    }
    case Json::value_t::array: {
      py::list list;
      for (const Json& item : value) list.append(ToPython(item));
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
  const py::object made = py::module_::import("pyro_mcp.errors")
                              .attr("error_of_code")(Text(std::string(ErrorCodeName(error.code))),
                                                     Text(error.message), Text(error.hint));
  PyErr_SetObject(py::type::handle_of(made).ptr(), made.ptr());
  throw py::error_already_set();
}

}  // namespace pyro::python
