using Cnvm.Linux;
using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm;

// Core files and migration.
public sealed partial class VmmService
{
    public void Coredump(VmCoredumpData coredump)
    {
        RequestValidator.ThrowIfInvalid(coredump);
        _ = Machine();
        throw VmmException.NotSupported("vm.coredump");
    }

    public void SendMigration(SendMigrationData send)
    {
        RequestValidator.ThrowIfInvalid(send);
        _ = Machine();
        throw VmmException.NotSupported("vm.send-migration");
    }

    public void ReceiveMigration(ReceiveMigrationData receive, IReadOnlyList<FileDescriptor> descriptors)
    {
        ArgumentNullException.ThrowIfNull(descriptors);
        RequestValidator.ThrowIfInvalid(receive, descriptors.Count);
        RequireNone("vm.receive-migration");
        throw VmmException.NotSupported("vm.receive-migration");
    }

    private VirtualMachine RequirePaused(string call)
    {
        VirtualMachine machine = Machine();
        return _state == VmState.Paused
            ? machine
            : throw new VmmException(VmmErrorKind.Internal, $"{call} needs a paused VM: it is {_state}");
    }

    private void RequireNone(string call)
    {
        if (_config is not null)
        {
            throw new VmmException(VmmErrorKind.Internal, $"{call} needs a VMM without a VM: send vm.delete first");
        }
    }
}
