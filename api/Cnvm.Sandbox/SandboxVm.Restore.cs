using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Containers;
using Cnvm.Sandbox.Machine;
using Cnvm.Sandbox.Oci;

namespace Cnvm.Sandbox;

// A sandbox that goes on with its container.
public sealed partial class SandboxVm
{
    /// <summary>Goes on from where <see cref="SnapshotAsync"/> saved a sandbox with one container. Its processes run on; what they said before to nobody is lost.</summary>
    /// <param name="options">With the snapshot as <see cref="SandboxOptions.Template"/>, which may go once this has returned.</param>
    /// <param name="id">The container's name when it was saved.</param>
    /// <param name="configJson">Its configuration, as it was made with: folders of the host that it names must be there.</param>
    /// <param name="rootfs">Its root file system as it was then, at the same place or at another one.</param>
    /// <param name="cancellation">Gives it up; nothing is left of it.</param>
    /// <returns>The sandbox, and the container, which runs.</returns>
    /// <exception cref="SandboxException">It cannot go on; nothing is left of it.</exception>
    public static async Task<(SandboxVm Sandbox, Container Container)> RestoreAsync(
        SandboxOptions options, string id, ReadOnlyMemory<byte> configJson, ContainerRootfs rootfs, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(rootfs);
        Spec spec = SpecReader.Read(configJson);
        if (options.Template is null || spec.Process is not { } process)
        {
            throw new SandboxException(SandboxErrorKind.Invalid, "a container goes on from a snapshot and with a configuration that has a process");
        }

        ContainerPlace? place = null;
        SandboxVm sandbox = await LaunchAsync(
            options,
            static (launched, token) => launched.RenewAsync(token),
            cancellation,
            folder =>
            {
                // The guest has these open, and finds them again by their names before it goes on.
                place = new ContainerPlace(options, folder, id);
                place.Claim();
                _ = GuestSpec.Of(spec, place.AddRootfs(rootfs), rootfs.Access == RootfsAccess.ReadOnly, place, id, []);
            }).ConfigureAwait(false);
        return (sandbox, new Container(sandbox._agent, id, place!, process, rootfs.Path));
    }
}
