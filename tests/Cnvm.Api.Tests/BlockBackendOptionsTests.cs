using Cnvm.CommandLine;
using Cnvm.Vmm.Config;
using Microsoft.Extensions.Logging;

namespace Cnvm.Api.Tests;

/// <summary>Flags of the disk back end: Cloud Hypervisor's keys, and the protocol's conventions.</summary>
public sealed class BlockBackendOptionsTests
{
    [Fact]
    public void Keys_are_the_disks()
    {
        BlockBackendOptions options = BlockBackendOptions.Parse(
        [
            "--block-backend",
            "path=/a,socket=/s,num_queues=2,queue_size=256,readonly=true,direct=on,poll_queue=false,image_type=qcow2,backing_files=on,sparse=off,serial=x,queue_affinity=[1@[0,2]],bw_size=1M,bw_refill_time=100",
            "-vv",
            "--log-file=/l",
        ]);
        DiskConfig disk = options.Disk;
        Assert.Equal(
            ("/a", (ushort)2, (ushort)256, true, true, ImageType.Qcow2, true, false, "x"),
            (disk.Path, disk.NumQueues, disk.QueueSize, disk.Readonly, disk.Direct, disk.ImageType, disk.BackingFiles, disk.Sparse, disk.Serial));
        Assert.Equal([0u, 2u], Assert.Single(disk.QueueAffinity!).HostCpus);
        Assert.Equal(1UL << 20, disk.RateLimiterConfig!.Bandwidth!.Size);
        Assert.Equal(("/s", LogLevel.Debug, "/l"), (options.Socket.Path, options.LogLevel, options.LogFile));
        Assert.False(disk.VhostUser);
        Assert.Null(disk.VhostSocket);
    }

    [Theory]
    [InlineData("--blk-file", "/a", "--socket-path", "/s", "--read-only")]
    [InlineData("--blk-file=/a", "--socket=/s", "--read-only")]
    [InlineData("--block-backend=path=/a,readonly=on", "--socket-path", "/s")]
    public void Conventions_say_the_same(params string[] words)
    {
        BlockBackendOptions options = BlockBackendOptions.Parse(words);
        Assert.Equal(("/a", "/s", true, LogLevel.Warning), (options.Disk.Path, options.Socket.Path, options.Disk.Readonly, options.LogLevel));
    }

    [Fact]
    public void A_listening_socket_may_be_given()
    {
        Assert.Equal(new PathOrFd(null, 7), BlockBackendOptions.Parse(["--block-backend", "path=/a", "--fd", "7"]).Socket);
        Assert.True(BlockBackendOptions.Parse(["--print-capabilities"]).ShowCapabilities);
        Assert.True(BlockBackendOptions.Parse(["-h", "--block-backend", "nonsense"]).ShowHelp);
        Assert.True(BlockBackendOptions.Parse(["-V"]).ShowVersion);
    }

    [Theory]
    [InlineData("which image?", "--socket-path", "/s")]
    [InlineData("where do front ends connect?", "--blk-file", "/a")]
    [InlineData("where do front ends connect?")]
    [InlineData("leave one out", "--blk-file", "/b", "--block-backend", "path=/a,socket=/s")]
    [InlineData("leave one out", "--socket-path", "/t", "--block-backend", "path=/a,socket=/s")]
    [InlineData("leave /s out", "--fd", "3", "--block-backend", "path=/a,socket=/s")]
    [InlineData("no descriptor's number", "--fd", "x", "--block-backend", "path=/a")]
    [InlineData("not polled", "--block-backend", "path=/a,socket=/s,poll_queue=on")]
    [InlineData("did you mean num_queues?", "--block-backend", "path=/a,socket=/s,num_queue=1")]
    [InlineData("did you mean --blk-file?", "--blkfile", "/a")]
    [InlineData("takes no value", "--read-only=on")]
    [InlineData("needs a value", "--fd")]
    [InlineData("given twice", "--fd", "1", "--fd", "2")]
    [InlineData("at most 256", "--block-backend", "path=/a,socket=/s,num_queues=257")]
    public void What_is_wrong_is_said(string expected, params string[] words) =>
        Assert.Contains(expected, Assert.Throws<CommandLineException>(() => BlockBackendOptions.Parse(words)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("num_queues", "num_queues=0")]
    [InlineData("queue_size", "queue_size=3")]
    [InlineData("image_type", "image_type=flatvmdk")]
    [InlineData("serial", "serial=123456789012345678901")]
    [InlineData("queue_affinity", "queue_affinity=[4@[0]]")]
    public void Disks_that_cannot_be_are_refused_by_name(string field, string keys) =>
        Assert.Contains(field, Assert.Throws<ConfigException>(() => BlockBackendOptions.Parse(["--block-backend", $"path=/a,socket=/s,{keys}"])).Message, StringComparison.Ordinal);
}
