using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>What a target says of the vsock's socket of a guest that is still at the source.</summary>
public sealed class ArrivingSocketsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-sockets-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void One_that_can_be_made_is_no_obstacle()
    {
        Assert.Empty(ArrivingSockets.Obstacles(new VmConfig()));
        Assert.Empty(ArrivingSockets.Obstacles(At("vsock")));
    }

    [Fact]
    public void One_that_somebody_serves_or_that_has_no_folder_is_named()
    {
        string obstacle = Assert.Single(ArrivingSockets.Obstacles(At("missing/vsock")));
        Assert.StartsWith("vsock _vsock5: there is no folder", obstacle, StringComparison.Ordinal);
        using var listener = UnixListener.Bind(Path.Combine(_folder, "vsock"), 1);
        obstacle = Assert.Single(ArrivingSockets.Obstacles(At("vsock")));
        Assert.StartsWith("vsock _vsock5: ", obstacle, StringComparison.Ordinal);
        Assert.Contains(Path.Combine(_folder, "vsock"), obstacle, StringComparison.Ordinal);
    }

    private VmConfig At(string socket) => new() { Vsock = new VsockConfig { Id = "_vsock5", Cid = 3, Socket = Path.Combine(_folder, socket) } };
}
