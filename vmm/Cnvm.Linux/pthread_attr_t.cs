using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Attributes of a thread to be created: opaque, only its size counts.</summary>
[Abi("pthread.h", "pthread_attr_t")]
[StructLayout(LayoutKind.Sequential, Size = 56)]
public struct pthread_attr_t
{
    [AbiField("__align")]
    public long Alignment;
}
