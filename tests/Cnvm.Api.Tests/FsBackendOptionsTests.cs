using Cnvm.CommandLine;
using Cnvm.Vmm.Config;
using Microsoft.Extensions.Logging;

namespace Cnvm.Api.Tests;

/// <summary>Flags of the folder back end: virtiofsd's where it has them, and the protocol's conventions.</summary>
public sealed class FsBackendOptionsTests
{
    [Fact]
    public void Flags_are_virtiofsds()
    {
        FsBackendOptions options = FsBackendOptions.Parse(
        [
            "--shared-dir=/a", "--socket-path", "/s", "--cache=always", "--readonly", "--num-queues", "4",
            "--uid-map", "[0:100000:1000,1000:1000:1]", "--gid-map=0:5:1", "--log-level=debug", "--log-file", "/l",
        ]);
        FsConfig fs = options.Fs;
        Assert.Equal(("/a", FsCache.Always, true, (ushort)4, null), (fs.Path, fs.Cache, fs.Readonly, fs.NumQueues, fs.Socket));
        Assert.Equal([new IdRangeConfig(0, 100000, 1000), new IdRangeConfig(1000, 1000, 1)], fs.UidMap);
        Assert.Equal([new IdRangeConfig(0, 5, 1)], fs.GidMap);
        Assert.Equal(("/s", LogLevel.Debug, "/l"), (options.Socket.Path, options.LogLevel, options.LogFile));
    }

    [Theory]
    [InlineData("auto", FsCache.Auto)]
    [InlineData("always", FsCache.Always)]
    [InlineData("none", FsCache.None)]
    [InlineData("never", FsCache.None)]
    public void Cache_modes_have_both_programs_names(string word, FsCache cache) =>
        Assert.Equal(cache, FsBackendOptions.Parse(["--shared-dir=/a", "--socket-path=/s", "--cache", word]).Fs.Cache);

    [Theory]
    [InlineData("error", LogLevel.Error)]
    [InlineData("warn", LogLevel.Warning)]
    [InlineData("info", LogLevel.Information)]
    [InlineData("trace", LogLevel.Trace)]
    public void Log_levels_have_names(string word, LogLevel level) =>
        Assert.Equal(level, FsBackendOptions.Parse(["--shared-dir=/a", "--fd=3", "--log-level", word]).LogLevel);

    [Fact]
    public void Little_is_needed_and_something_may_only_be_shown()
    {
        FsBackendOptions options = FsBackendOptions.Parse(["--shared-dir", "/a", "--fd", "7", "-v"]);
        Assert.Equal((new PathOrFd(null, 7), LogLevel.Information, false), (options.Socket, options.LogLevel, options.ShowCapabilities));
        Assert.Equal((FsCache.Auto, false, (ushort)1, null, null), (options.Fs.Cache, options.Fs.Readonly, options.Fs.NumQueues, options.Fs.UidMap, options.LogFile));
        Assert.True(FsBackendOptions.Parse(["--print-capabilities"]).ShowCapabilities);
        Assert.True(FsBackendOptions.Parse(["-h", "--cache", "nonsense"]).ShowHelp);
        Assert.True(FsBackendOptions.Parse(["-V"]).ShowVersion);
        Assert.Equal("""{ "type": "fs" }""", FsBackendHelp.Capabilities);
    }

    [Theory]
    [InlineData("which folder?", "--socket-path", "/s")]
    [InlineData("where do front ends connect?", "--shared-dir", "/a")]
    [InlineData("leave /s out", "--fd", "3", "--socket-path", "/s", "--shared-dir", "/a")]
    [InlineData("not one of auto, always, none", "--shared-dir=/a", "--fd=3", "--cache=metadata")]
    [InlineData("from 1 to 255", "--shared-dir=/a", "--fd=3", "--num-queues=0")]
    [InlineData("from 1 to 255", "--shared-dir=/a", "--fd=3", "--num-queues=256")]
    [InlineData("--uid-map", "--shared-dir=/a", "--fd=3", "--uid-map=[0:1]")]
    [InlineData("--gid-map", "--shared-dir=/a", "--fd=3", "--gid-map=[0:1:x]")]
    [InlineData("not one of error", "--shared-dir=/a", "--fd=3", "--log-level=loud")]
    [InlineData("did you mean --shared-dir?", "--shareddir=/a")]
    [InlineData("takes no value", "--readonly=on")]
    [InlineData("needs a value", "--shared-dir")]
    [InlineData("given twice", "--socket-path=/s", "--socket=/t")]
    public void What_is_wrong_is_said(string expected, params string[] words) =>
        Assert.Contains(expected, Assert.Throws<CommandLineException>(() => FsBackendOptions.Parse(words)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("uid_map[0]", "--uid-map=[0:0:0]")]
    [InlineData("gid_map[1]", "--gid-map=[0:0:2,1:9:1]")]
    [InlineData("path", "--shared-dir=")]
    public void Folders_that_cannot_be_are_refused_by_name(string field, string flag)
    {
        string[] words = flag.StartsWith("--shared", StringComparison.Ordinal) ? [flag, "--fd=3"] : [flag, "--fd=3", "--shared-dir=/a"];
        Assert.Contains(field, Assert.Throws<ConfigException>(() => FsBackendOptions.Parse(words)).Message, StringComparison.Ordinal);
    }
}
