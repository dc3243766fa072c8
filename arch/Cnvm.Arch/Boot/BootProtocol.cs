namespace Cnvm.Arch.Boot;

/// <summary>How a kernel is entered.</summary>
public enum BootProtocol
{
    /// <summary>The best that the kernel offers: PVH, then the 64-bit entry, then the 32-bit entry.</summary>
    Auto,

    /// <summary>Xen's PVH (xen/include/public/arch-x86/hvm/start_info.h): 32-bit, hvm_start_info in EBX.</summary>
    Pvh,

    /// <summary>The 32-bit entry of a bzImage (Documentation/arch/x86/boot.rst): boot_params in ESI.</summary>
    Linux32,

    /// <summary>The 64-bit entry of a bzImage, or of an ELF kernel: long mode, boot_params in RSI.</summary>
    Linux64,
}
