namespace Cnvm.Hypervisor.Soft.Memory;

internal enum Access
{
    Read,
    Write,
    Execute,
}
