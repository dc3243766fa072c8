using Cnvm.Linux;
using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm;

// Snapshots, core files and migration.
public sealed partial class VmmService
{
    public void Snapshot(VmSnapshotConfig snapshot)
    {
        RequestValidator.ThrowIfInvalid(snapshot);
        RequirePaused("vm.snapshot");
        throw VmmException.NotSupported("vm.snapshot");
    }

    public void Restore(RestoreConfig restore, IReadOnlyList<FileDescriptor> descriptors)
    {
        ArgumentNullException.ThrowIfNull(descriptors);
        RequestValidator.ThrowIfInvalid(restore, descriptors.Count);
        RequireNone("vm.restore");
        throw VmmException.NotSupported("vm.restore");
    }

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

    private void RequirePaused(string call)
    {
        _ = Machine();
        if (_state != VmState.Paused)
        {
            throw new VmmException(VmmErrorKind.Internal, $"{call} needs a paused VM: it is {_state}");
        }
    }

    private void RequireNone(string call)
    {
        if (_config is not null)
        {
            throw new VmmException(VmmErrorKind.Internal, $"{call} needs a VMM without a VM: send vm.delete first");
        }
    }
}
