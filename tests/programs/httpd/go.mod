// SPDX-License-Identifier: Apache-2.0
module netbroker.example/httpd

go 1.24
