using Cnvm.Shim.Messages;
using Cnvm.Shim.Sandboxes;
using Cnvm.Shim.Tasks;
using Cnvm.Ttrpc;

namespace Cnvm.Shim;

/// <summary>
/// The call <c>delete</c>: takes away whatever a shim has left. containerd makes it when a shim's connection has ended, in an orderly way or not, so most
/// often there is nothing to do.
/// </summary>
internal static class DeleteCommand
{
    private const uint KilledStatus = 137;

    /// <exception cref="IOException">The host refuses.</exception>
    public static DeleteResponse Run(ShimArguments arguments, ISandboxFactory factory)
    {
        string directory = arguments.Bundle.Length > 0 ? arguments.Bundle : Environment.CurrentDirectory;
        Bundle? bundle = File.Exists(Path.Combine(directory, "config.json")) ? Bundle.Load(directory) : null;
        if (bundle?.PodId is null)
        {
            var identity = new ShimIdentity(arguments.Address, arguments.Namespace, arguments.Id);
            factory.CleanUp(identity.SandboxDirectory, identity.SandboxName);
            HostCgroup.Remove(bundle?.CgroupsPath ?? "");
            File.Delete(identity.Socket);
        }

        RootMount.Unmount(directory);
        return new DeleteResponse { ExitStatus = KilledStatus, ExitedAt = ProtoTimestamp.From(DateTimeOffset.UtcNow) };
    }
}
