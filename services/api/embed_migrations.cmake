# Writes OUTPUT, a C++ file with the text of every NNNN_name.sql in DIR.
file(GLOB files ${DIR}/*.sql)
list(SORT files)
set(rows "")
foreach(file ${files})
  get_filename_component(stem ${file} NAME_WE)
  string(REGEX MATCH "^[0-9]+" number ${stem})
  math(EXPR version "${number}")
  string(REGEX REPLACE "^[0-9]+_" "" name ${stem})
  file(READ ${file} sql)
  string(APPEND rows "      {${version}, \"${name}\", R\"sql(${sql})sql\"},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"services/api/migrations.h\"

namespace riseml::api {
const std::vector<sql::Migration>& Migrations() {
  static const auto* migrations = new std::vector<sql::Migration>{
${rows}  };
  return *migrations;
}
}  // namespace riseml::api
")
