using Cnvm.CommandLine;
using Cnvm.Vmm.Requests;

namespace Cnvm.Api.Tests;

/// <summary>Snapshot and restore by request and by flag.</summary>
public sealed class SnapshotRouteTests : IDisposable
{
    private readonly ServerFixture _server = new();
    private readonly RawClient _client;

    public SnapshotRouteTests() => _client = new RawClient(_server.SocketPath);

    public void Dispose()
    {
        _client.Dispose();
        _server.Dispose();
    }

    [Fact]
    public void Requests_reach_the_vmm()
    {
        Assert.Equal(204, _client.Request("PUT", "vm.snapshot", """{"destination_url":"file:///s"}""").Status);
        Assert.Equal(204, _client.Request("PUT", "vm.restore", """{"source_url":"file:///s"}""").Status);
        Assert.Equal(
            204,
            _client.Request("PUT", "vm.restore", """{"source_url":"file:///t","memory_restore_mode":"OnDemand","resume":true,"net_fds":null}""").Status);
        Assert.Equal(
            [
                "VmSnapshotConfig { DestinationUrl = file:///s, TrackChanges = False, Incremental = False, Compress = False, Disks = False }",
                "restore file:///s Copy prefault=False resume=False 0", "restore file:///t OnDemand prefault=False resume=True 0",
            ],
            _server.Vmm.Calls);
    }

    [Theory]
    [InlineData("vm.snapshot", "{}")]
    [InlineData("vm.snapshot", "7")]
    [InlineData("vm.restore", "{}")]
    [InlineData("vm.restore", """{"source_url":"file:///s","memory_restore_mode":"Lazy"}""")]
    [InlineData("vm.restore", """{"source_url":"file:///s","net_fds":[{"id":"n","num_fds":-1}]}""")]
    public void Bad_bodies_are_400(string endpoint, string body)
    {
        Assert.Equal(400, _client.Request("PUT", endpoint, body).Status);
        Assert.Empty(_server.Vmm.Calls);
    }

    [Fact]
    public void The_flag_says_the_same()
    {
        RestoreArguments arguments = LaunchOptions.Parse(
            ["--restore", "source_url=file:///s,memory_restore_mode=ondemand,resume=true,net_fds=[_net1@[3,4],n@[5]],disk_overrides=[_disk0@/a/b,d@/c],vsock_socket=/v"]).Restore!;
        RestoreConfig r = arguments.Config;
        Assert.Equal(("file:///s", MemoryRestoreMode.OnDemand, true, false), (r.SourceUrl, r.MemoryRestoreMode, r.Resume, r.Prefault));
        Assert.Equal(["_net1:2", "n:1"], r.NetFds!.Select(n => $"{n.Id}:{n.NumFds}"));
        Assert.Equal([3, 4, 5], arguments.Fds);
        Assert.Equal("/v", r.VsockSocket);
        Assert.Equal([new DiskOverride("_disk0", "/a/b"), new DiskOverride("d", "/c")], r.DiskOverrides!);
        Assert.Throws<CommandLineException>(() => LaunchOptions.Parse(["--restore", "source_url=file:///s,disk_overrides=[/c]"]));
        Assert.Throws<CommandLineException>(() => LaunchOptions.Parse(["--restore", "resume=true"]));
        Assert.Throws<CommandLineException>(() => LaunchOptions.Parse(["--restore", "source_url=file:///s", "--kernel", "/k"]));
        Assert.Throws<CommandLineException>(() => LaunchOptions.Parse(["--restore", "source_url=file:///s,net_fds=[@[1]]"]));
    }
}
