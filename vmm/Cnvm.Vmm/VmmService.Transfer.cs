using Cnvm.Linux;
using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm;

// Core files, and in what state a VM has to be for what.
public sealed partial class VmmService
{
    public void Coredump(VmCoredumpData coredump)
    {
        RequestValidator.ThrowIfInvalid(coredump);
        _ = Machine();
        throw VmmException.NotSupported("vm.coredump");
    }

    private VirtualMachine RequirePaused(string call)
    {
        RequireAtRest(call);
        VirtualMachine machine = Machine();
        return _state == VmState.Paused
            ? machine
            : throw new VmmException(VmmErrorKind.Internal, $"{call} needs a paused VM: it is {_state}");
    }

    private void RequireNone(string call)
    {
        RequireAtRest(call);
        if (_config is not null)
        {
            throw new VmmException(VmmErrorKind.Internal, $"{call} needs a VMM without a VM: send vm.delete first");
        }
    }
}
