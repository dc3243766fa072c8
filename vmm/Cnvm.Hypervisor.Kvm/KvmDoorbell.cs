using Cnvm.Linux;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>An ioeventfd, until it is disposed.</summary>
internal sealed class KvmDoorbell : IDisposable
{
    private readonly FileDescriptor _vm;
    private kvm_ioeventfd _registration;
    private bool _disposed;

    public KvmDoorbell(FileDescriptor vm, DoorbellSpace space, ulong address, int width, ulong? dataMatch, EventFd target)
    {
        _vm = vm;
        _registration = new kvm_ioeventfd
        {
            datamatch = dataMatch ?? 0,
            addr = address,
            len = (uint)width,
            fd = target.Fd,
            flags = (dataMatch is null ? 0 : KvmConstants.KVM_IOEVENTFD_FLAG_DATAMATCH)
                | (space == DoorbellSpace.Port ? KvmConstants.KVM_IOEVENTFD_FLAG_PIO : 0),
        };
        KvmIoctl.Call(vm.Value, KvmRequest.KVM_IOEVENTFD, ref _registration);
    }

    public void Dispose()
    {
        // The kernel takes every doorbell away with the VM itself.
        if (!_disposed && !_vm.IsClosed)
        {
            _disposed = true;
            _registration.flags |= KvmConstants.KVM_IOEVENTFD_FLAG_DEASSIGN;
            KvmIoctl.Call(_vm.Value, KvmRequest.KVM_IOEVENTFD, ref _registration);
        }
    }
}
