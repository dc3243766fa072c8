using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm;

// A move to another process of this host, which gets the memory itself.
public sealed partial class VmmService
{
    private bool _areNetworksHanded;

    /// <summary>What another process of this host cannot have while this one is there.</summary>
    private void ThrowUnlessHanded(VirtualMachine machine)
    {
        string? obstacle = HandedMemory.Obstacle(machine.Ram.Plan) ?? DeviceObstacle(_config!);
        if (obstacle is null && machine.Ram.Plan.Count + machine.TapQueues(_config!).Count is var descriptors and > UnixStream.MaxDescriptors)
        {
            obstacle = $"memory and interfaces have {descriptors} descriptors; {UnixStream.MaxDescriptors} can be handed over";
        }

        if (obstacle is not null)
        {
            throw new VmmException(VmmErrorKind.Internal, $"local: {obstacle}");
        }
    }

    private static string? DeviceObstacle(VmConfig config) =>
        config.Vsock is { } vsock
            ? $"{vsock.Id}: the host's programs reach it through {vsock.Socket}, which this process serves: take it away first (vm.remove-device)"
        : ServedElsewhere(config) is { } served
            ? $"{served}: its vhost-user back end serves one process at a time, this one: take it away first (vm.remove-device)"
        : null;

    /// <summary>The first device of a vhost-user back end.</summary>
    internal static string? ServedElsewhere(VmConfig config) =>
        config.Disks?.FirstOrDefault(d => d.VhostUser)?.Id
        ?? config.Net?.FirstOrDefault(n => n.VhostUser)?.Id
        ?? config.Fs?.FirstOrDefault(f => f.Socket is not null)?.Id
        ?? (config.GenericVhostUser is [{ } generic, ..] ? generic.Id : null);

    /// <summary>Before a machine goes on here whose interfaces another process has had, and perhaps set otherwise.</summary>
    private void TakeNetworksAgain(VirtualMachine machine)
    {
        if (!_areNetworksHanded)
        {
            return;
        }

        try
        {
            machine.TakeNetworksAgain();
            _areNetworksHanded = false;
        }
        catch (Exception e) when (IsHostFailure(e))
        {
            throw new VmmException(VmmErrorKind.Internal, $"The VM cannot go on here: {e.Message}", e);
        }
    }
}
