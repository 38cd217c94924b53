/* SPDX-License-Identifier: Apache-2.0 */
/* lighttpd's modules that are linked in. This file is included several times, with other meanings of PLUGIN_INIT. */
PLUGIN_INIT(mod_access)
PLUGIN_INIT(mod_indexfile)
PLUGIN_INIT(mod_setenv)
PLUGIN_INIT(mod_staticfile)
