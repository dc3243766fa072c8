using System.Buffers.Binary;
using System.Text;
using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block.Qcow2;

/// <content>A copy of the file, which may lie in another folder.</content>
internal sealed unsafe partial class Qcow2Layer
{
    /// <inheritdoc cref="IBlockImage.CopyTo"/>
    public void CopyTo(SafeFileHandle file)
    {
        _file.CopyTo(file);
        if (_header.BackingFile is { } name && ImageChain.Locate(_file.Path, name) is var path && path != name)
        {
            NameBackingFile(file, path);
        }
    }

    /// <summary>Names in images are relative to the image's own folder. Behind the name, the header's cluster has nothing else.</summary>
    private void NameBackingFile(SafeFileHandle file, string path)
    {
        byte[] name = Encoding.UTF8.GetBytes(path);
        ulong at = 0;

        // SAFETY: a local of as many bytes is written.
        IoVec offset = new() { Base = (nint)(&at), Length = sizeof(ulong) };
        if (_file.Read(&offset, 1, Qcow2Spec.HeaderBackingOffset) != sizeof(ulong))
        {
            throw new BlockImageException($"disk {_file.Path}: its header cannot be read");
        }

        at = BinaryPrimitives.ReverseEndianness(at);
        if (name.Length > Qcow2Spec.MaxBackingName || at > ClusterBytes - (ulong)name.Length)
        {
            throw new BlockImageException($"disk {_file.Path} cannot be copied to another folder: its header has no room for {path}");
        }

        Span<byte> length = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(length, (uint)name.Length);
        RandomAccess.Write(file, name, (long)at);
        RandomAccess.Write(file, length, Qcow2Spec.HeaderBackingLength);
    }
}
