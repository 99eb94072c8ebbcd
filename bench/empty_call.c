/* An extension type with one method that takes what it is given and does nothing: the floor of
   every call from Python into native code. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *call(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
    (void)self, (void)arguments, (void)count;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"call", (PyCFunction)(void (*)(void))call, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot slots[] = {{Py_tp_methods, methods}, {0, NULL}};
static PyType_Spec spec = {"bench_empty_call.Empty", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT, slots};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "bench_empty_call", NULL, -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_bench_empty_call(void) {
    PyObject *made = PyModule_Create(&module);
    PyObject *type = made ? PyType_FromSpec(&spec) : NULL;
    if (type == NULL || PyModule_AddObject(made, "Empty", type) < 0) return NULL;
    return made;
}
